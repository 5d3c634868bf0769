"""The OpenAPI document, made of the models and routes that the service runs on."""
