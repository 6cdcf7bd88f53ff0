"""The client behind HTTP on the loopback interface, for apps in other languages."""
