"""Test helpers: start processes, send raw requests, generate load, wait for conditions."""
