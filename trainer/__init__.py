"""The model's half of Dolly: an open base model in, an instruction-following model out. Imports nothing of the bot."""
