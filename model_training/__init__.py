"""Train the CNN that `pipeline` scores with: dataset -> network -> training -> export -> report."""
