"""What two or more chapters share. Each module has one purpose and imports no chapter.

data -> (the chapter's own method) -> metrics -> results -> figures
"""
