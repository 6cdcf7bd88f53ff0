"""For tests of apps that embed the client; nothing of Privet's own imports it but tests and rehearsals."""
