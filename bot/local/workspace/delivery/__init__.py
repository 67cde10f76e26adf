"""How the app hears of it: envelopes by Socket Mode or signed HTTP, and what it answers to them."""
