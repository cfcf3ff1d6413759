"""HTTP around the features: errors, request bodies, headers, health checks, the API description."""
