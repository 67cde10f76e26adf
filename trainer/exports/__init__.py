"""What engines are given: a directory for TGI and vLLM, GGUF for llama.cpp, and a card for people."""
