"""Series read, aligned and described."""
