"""The rows and the images of a run in the forms that other programs and people want: tables, folders, tasks."""
