"""A network to try NeuralGate with: simulated model servers, people, and what to paste."""
