"""What a run leaves behind, made readable: imports measure alone."""
