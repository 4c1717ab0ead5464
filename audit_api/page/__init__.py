"""The Activity Log page: a document, its style sheets and its modules. There is no build step."""
