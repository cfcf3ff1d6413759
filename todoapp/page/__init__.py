"""The todo page at `/`: a template, and JavaScript modules that talk to the API."""
