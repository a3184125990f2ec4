"""The HTTP side: routes, limits on requests, TLS, error responses."""
