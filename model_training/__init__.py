"""Train the CNN that `pipeline` scores with: dataset -> network -> training -> export -> report. Start at build.py."""
