//! What the tests need beside the program: services that run on this machine, and judges that share no code with it.
