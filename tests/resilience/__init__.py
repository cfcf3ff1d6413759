"""Fault injection under load: database, network, worker processes, proxies, slow clients."""
