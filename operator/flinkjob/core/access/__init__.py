"""What may be connected to and used: hosts, and places in object stores."""
