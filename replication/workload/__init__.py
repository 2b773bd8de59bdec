"""What runs on a server: sessions of applications, statements, locks, and who keeps a replica busy."""
