"""What several commands share: options, secrets in arguments, output."""
