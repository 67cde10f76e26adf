"""An answer on its way into a thread, and what stands under it."""
