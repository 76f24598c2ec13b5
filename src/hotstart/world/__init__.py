"""The rendered world: physics makes motion, a renderer makes pictures, and the truth is known."""
