        //# each k
        column$k += step_columns;
        if step_rows > 0u || column$k >= job.columns {
            let wraps = column$k >= job.columns;
            column$k -= select(0u, job.columns, wraps);
            row$k += step_rows + select(0u, 1u, wraps);
            of_row$k = line_of(data[job.rows + row$k]);
        }
        of_column$k = column_of(job.flags, job.labels, column$k);
        //# end
