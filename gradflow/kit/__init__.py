"""What networks are built from: layers, base classes, initialisations; and building one from its configuration."""
