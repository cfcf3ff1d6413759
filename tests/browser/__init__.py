"""The page in a real browser, Debian's Chromium, over the web process and a database of its own."""
