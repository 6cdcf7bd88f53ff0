"""Federations on one machine: data sets, the in-process fleet, evaluation, command line."""
