"""What must hold before a planned switch moves the role. Pure."""
