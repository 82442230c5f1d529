"""What several commands share. The modules of this folder are not commands."""
