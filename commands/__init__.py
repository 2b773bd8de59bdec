"""What a person types: ``mha …`` and the ``masterha_*`` names."""
