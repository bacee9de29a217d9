"""The REST API: routes, requests in, replies out, who may ask and how often."""
