"""What is computed from purchases. Pure functions over columns."""
