"""Pages for people who read: `words.md`, what each word means in this package."""
