"""Random foreign input, made from real input: whatever comes, it is understood or refused, and costs little."""
