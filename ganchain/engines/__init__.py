"""How networks are run: by torch in float32, which is the reference, or by something faster that agrees with it."""
