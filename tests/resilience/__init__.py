"""Every fault, under load: database, network, worker, proxy, slow clients."""
