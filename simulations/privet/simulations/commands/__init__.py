"""The command line, one file for each group of verbs; every verb is a view of a library function."""
