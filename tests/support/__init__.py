"""What tests share: stands, fakes, and conversations in shorthand."""
