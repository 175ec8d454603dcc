"""Long measurements on mocks, each written into a page of the docs."""
