"""A device inside an app: Flower's Fleet protocol over HTTPS, without Flower and without threads."""
