"""Each fault that a service meets, on the real web process under load."""
