"""What a user agrees to and may ask of a client: consent, opt-outs, previews, export, erasure."""
