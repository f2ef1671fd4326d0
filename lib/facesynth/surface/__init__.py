"""Triangle meshes and what is measured on them: `mesh`, and where one pierces itself."""
