"""What a judging found out, as people and programs read it.

`document` makes the report's data once, `report.schema.json` says what it holds, and every other form is made of it.
"""
