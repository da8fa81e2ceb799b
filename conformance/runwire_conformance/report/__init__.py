"""Reports for people and programs.

`document` makes the report's data once, `report.schema.json` says what it holds, and every other form is made of it.
"""
