"""What nano is trained on: photographs, texts, altered copies."""
