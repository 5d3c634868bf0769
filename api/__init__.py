"""What people and programs call: REST, the command line, the demo. `main` puts the whole together."""
