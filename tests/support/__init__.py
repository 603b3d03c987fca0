"""What several tests share: real servers in their own processes, and a client that sees every byte."""
