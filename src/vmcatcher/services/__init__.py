"""The use cases: one public function per thing a user asks. They return frozen results; they never print or exit."""
