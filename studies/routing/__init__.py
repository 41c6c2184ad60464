"""Which blocks a row needs: policies that skip blocks after training, and what skipping costs."""
