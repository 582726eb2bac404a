"""What nano must answer: teachers, and the space that photographs and words share."""
